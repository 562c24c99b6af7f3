"""The internal request and answer, which all higher layers use."""
