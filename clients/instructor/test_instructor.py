"""instructor returns answers of the user's types in each of its modes."""

from __future__ import annotations

from collections.abc import Iterable

import instructor
import openai
import pytest
from instructor.core import InstructorRetryException
from pydantic import BaseModel, field_validator

ADA = [{"role": "user", "content": '{"name": "Ada", "age": 36}'}]


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def connect(base_url):
    def client(mode):
        return instructor.from_openai(openai.OpenAI(base_url=base_url, api_key="unused", max_retries=0), mode=mode)

    return client


@pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON_SCHEMA])
def test_an_answer_has_the_users_type(connect, mode):
    person = connect(mode).chat.completions.create(model="router", messages=ADA, response_model=Person)
    assert isinstance(person, Person)
    assert person.model_dump() == {"name": "Ada", "age": 36}


def test_parallel_tool_calls_return_several_answers_of_a_type(connect):
    question = 'Person {"name": "Ada", "age": 36} Person {"name": "Alan", "age": 41}'
    people = connect(instructor.Mode.PARALLEL_TOOLS).chat.completions.create(
        model="router", messages=[{"role": "user", "content": question}], response_model=Iterable[Person]
    )
    assert [person.name for person in people] == ["Ada", "Alan"]


def test_a_streamed_answer_is_completed_step_by_step(connect):
    steps = list(
        connect(instructor.Mode.TOOLS).chat.completions.create_partial(
            model="router", messages=ADA, response_model=Person
        )
    )
    assert len(steps) > 1
    assert steps[-1].model_dump() == {"name": "Ada", "age": 36}


def test_the_completion_of_an_answer_has_usage_and_router_metadata(connect, targets):
    _, completion = connect(instructor.Mode.TOOLS).chat.completions.create_with_completion(
        model="router", messages=ADA, response_model=Person
    )
    assert completion.usage.total_tokens > 0
    assert completion.router_metadata["model_used"] == targets.names[-1]


def test_a_retry_after_an_invalid_answer_returns_to_the_same_target(connect, targets, assert_one_target):
    class Adult(Person):
        @field_validator("age")
        @classmethod
        def _is_adult(cls, age):
            if len(targets.names) < 2:
                raise ValueError("the first attempt always fails")
            return age

    person = connect(instructor.Mode.TOOLS).chat.completions.create(
        model="router",
        messages=[{"role": "user", "content": "Somebody, 36"}],
        response_model=Adult,
        max_retries=3,
    )
    assert person.age == 36
    assert_one_target()


async def test_the_asynchronous_client_works(base_url):
    client = instructor.from_openai(openai.AsyncOpenAI(base_url=base_url, api_key="unused"))
    person = await client.chat.completions.create(model="router", messages=ADA, response_model=Person)
    assert person.model_dump() == {"name": "Ada", "age": 36}


def test_an_unknown_model_is_a_not_found_error(connect):
    with pytest.raises((openai.NotFoundError, InstructorRetryException), match="no-such-model"):
        connect(instructor.Mode.TOOLS).chat.completions.create(
            model="no-such-model", messages=ADA, response_model=Person, max_retries=0
        )


def test_a_bad_request_is_a_bad_request_error(connect):
    with pytest.raises((openai.BadRequestError, InstructorRetryException), match="`messages` is missing or empty"):
        connect(instructor.Mode.TOOLS).chat.completions.create(
            model="router", messages=[], response_model=Person, max_retries=0
        )
