"""How people reach it: command line, web API and page; translates, decides nothing."""
