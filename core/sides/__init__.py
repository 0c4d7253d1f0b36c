"""On which side of the cutover somebody is: the monolith's pages, or those of the new apps; and who is sent where."""
