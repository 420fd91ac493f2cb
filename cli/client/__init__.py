"""What hub, gateway, services and the command share: the wire and its words.

Models, errors, the grammar of names, the text of a challenge, the calls of the REST API and the
two transports that carry them. Nothing here knows of a database, a spawner or a terminal.
"""
