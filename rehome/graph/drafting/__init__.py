"""Works out every migration that a model needs to move to another app, from the code and the migrations alone."""
