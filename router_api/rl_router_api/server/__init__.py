"""The endpoints: what listens, admits and answers."""
