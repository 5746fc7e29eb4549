"""Every file format of the program: schemas, readers, writers and the validator behind `puncta doctor FILE`."""
