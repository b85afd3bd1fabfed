"""What reaches an AWS account through boto3: its bootstrap, and checks of what we believe of it."""
