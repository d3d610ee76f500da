"""`teiki simulate`: the real workflows and activities through the months or years a scenario describes."""
