"""The `spendgate` command: everything a person does with Spendgate from a terminal."""
