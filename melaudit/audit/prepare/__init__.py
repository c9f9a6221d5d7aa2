"""Before the pass: settings, model, data and training images, made to fit each other."""
