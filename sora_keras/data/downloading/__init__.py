"""Published archives to folders of videos: what there is, how it is fetched, and how it is unpacked."""
