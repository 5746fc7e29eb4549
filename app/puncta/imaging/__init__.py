"""Pure functions on pictures: regions, preparation for models, motion, filters. Each has one owner here."""
