"""The mode in which models are looked at, trained again, compared and put in use."""
