"""What the pytest plugin is made of; `faretap.pytest_plugin` is what pytest loads."""
