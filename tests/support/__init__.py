"""What the tests share: a real server, functions in it, and conditions to wait for."""
