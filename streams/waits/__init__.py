"""What a caller waits for behind the answer to a command, counted by what components report; no I/O."""
