"""The operator's command line: talks HTTP to the app."""
