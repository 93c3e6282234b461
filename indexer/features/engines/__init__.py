"""What runs the networks: OpenVINO and torch behind one protocol."""
