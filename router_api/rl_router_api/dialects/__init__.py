"""How clients and upstreams write requests and answers: bytes to the internal request and answer, and back."""
