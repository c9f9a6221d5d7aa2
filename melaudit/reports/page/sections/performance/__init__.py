"""How the model does on the labelled images: a file for each part of the section."""
