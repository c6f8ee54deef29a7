"""Judge calls as IAM does: by the policies and the permissions boundary of the role whose session makes them."""
