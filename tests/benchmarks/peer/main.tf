# The stack of manifests/, as Terraform's users write it: the peer that `make bench` is measured against.
#
# The same AWS things with the same settings, in the shapes that the provider's own documentation recommends.
# `-var n=16 -var services=9` makes copies of all but the project's own.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "n" {
  type    = number
  default = 1
}

# Of the container service; App Runner's quotas allow fewer copies of it.
variable "services" {
  type    = number
  default = 1
}

variable "password" {
  type      = string
  default   = "OnlyForTheEmulator64"
  sensitive = true
}

# Endpoint, keys and region come from the environment, as for every AWS client.
provider "aws" {
  s3_use_path_style = true

  default_tags {
    tags = {
      product       = "JoiabagurPV"
      "managed-by"  = "terraform"
      "environment" = "prod"
    }
  }
}

locals {
  account  = data.aws_caller_identity.current.account_id
  region   = data.aws_region.current.name
  suffixes = [for i in range(var.n) : i == 0 ? "" : "-${i}"]
}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

data "aws_route_tables" "default" {
  vpc_id = data.aws_vpc.default.id
}

# --- Project: alerts and money --------------------------------------------------------------------------------------

resource "aws_sns_topic" "alerts" {
  name = "joiabagur-prod-alerts"
}

resource "aws_sns_topic_subscription" "alerts" {
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = "ops@joiabagur.example"
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = data.aws_vpc.default.id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = data.aws_route_tables.default.ids
}

resource "aws_budgets_budget" "monthly" {
  name         = "joiabagur-prod-monthly"
  budget_type  = "COST"
  limit_amount = "60.0"
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_types {
    include_credit = false
    include_refund = false
  }

  dynamic "notification" {
    for_each = [["ACTUAL", 20], ["ACTUAL", 40], ["ACTUAL", 60], ["FORECASTED", 60]]
    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = notification.value[0]
      threshold                  = notification.value[1]
      threshold_type             = "ABSOLUTE_VALUE"
      subscriber_email_addresses = ["ops@joiabagur.example"]
    }
  }
}
