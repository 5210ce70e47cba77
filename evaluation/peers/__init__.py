"""Other people's software, each in a virtual environment of its own that is made when it is first measured."""
