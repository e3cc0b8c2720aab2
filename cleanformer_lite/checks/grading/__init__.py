"""Run other people's answers safely, one or a thousand."""
