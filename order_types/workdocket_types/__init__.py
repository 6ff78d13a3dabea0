"""The order types that come with workdocket: plug-ins like anybody's."""
