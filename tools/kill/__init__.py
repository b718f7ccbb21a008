"""The kill test: the app's process dies again and again in the middle of its work, on a queue service that is real."""
