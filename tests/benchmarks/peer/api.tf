# The container service `api`.

locals {
  services = toset(slice(local.suffixes, 0, var.services))
}

resource "aws_ecr_repository" "api" {
  for_each             = local.services
  name                 = "joiabagur-api${each.key}"
  image_tag_mutability = "IMMUTABLE"
  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "api" {
  for_each   = local.services
  repository = aws_ecr_repository.api[each.key].name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
    action       = { type = "expire" }
  }] })
}

resource "aws_iam_role" "instance" {
  for_each = local.services
  name     = "joiabagur-prod${each.key}-api-instance"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Principal = { Service = "tasks.apprunner.amazonaws.com" }, Action = "sts:AssumeRole"
  }] })
}

resource "aws_iam_role_policy" "instance" {
  for_each = local.services
  name     = "access"
  role     = aws_iam_role.instance[each.key].id
  policy = jsonencode({ Version = "2012-10-17", Statement = [
    {
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      Resource = "${aws_s3_bucket.this["files${each.key}"].arn}/*"
    },
    { Effect = "Allow", Action = "s3:ListBucket", Resource = aws_s3_bucket.this["files${each.key}"].arn },
    { Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = aws_secretsmanager_secret.app[each.key].arn },
  ] })
}

resource "aws_iam_role" "registry" {
  for_each = local.services
  name     = "joiabagur-prod${each.key}-api-registry"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Principal = { Service = "build.apprunner.amazonaws.com" }, Action = "sts:AssumeRole"
  }] })
}

resource "aws_iam_role_policy_attachment" "registry" {
  for_each   = local.services
  role       = aws_iam_role.registry[each.key].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSAppRunnerServicePolicyForECRAccess"
}

resource "aws_security_group" "api" {
  for_each    = local.services
  name        = "joiabagur-prod${each.key}-api"
  description = "What the API may reach"
  vpc_id      = data.aws_vpc.default.id
}

resource "aws_vpc_security_group_egress_rule" "api" {
  for_each          = local.services
  security_group_id = aws_security_group.api[each.key].id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_apprunner_auto_scaling_configuration_version" "api" {
  for_each                        = local.services
  auto_scaling_configuration_name = "joiabagur-prod${each.key}-api"
  min_size                        = 1
  max_size                        = 2
  max_concurrency                 = 80
}

resource "aws_apprunner_vpc_connector" "api" {
  for_each           = local.services
  vpc_connector_name = "joiabagur-prod${each.key}-api"
  subnets            = data.aws_subnets.default.ids
  security_groups    = [aws_security_group.api[each.key].id]
}

resource "aws_apprunner_service" "api" {
  for_each                       = local.services
  service_name                   = "joiabagur-prod${each.key}-api"
  auto_scaling_configuration_arn = aws_apprunner_auto_scaling_configuration_version.api[each.key].arn

  source_configuration {
    auto_deployments_enabled = false
    authentication_configuration {
      access_role_arn = aws_iam_role.registry[each.key].arn
    }
    image_repository {
      image_identifier      = "${aws_ecr_repository.api[each.key].repository_url}@sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
      image_repository_type = "ECR"
      image_configuration {
        port = "8080"
        runtime_environment_variables = {
          ASPNETCORE_ENVIRONMENT = "Production"
          ASPNETCORE_HTTP_PORTS  = "8080"
        }
        runtime_environment_secrets = {
          ConnectionStrings__DefaultConnection = "${aws_secretsmanager_secret.app[each.key].arn}:ConnectionStrings:DefaultConnection::"
          Jwt__SecretKey                       = "${aws_secretsmanager_secret.app[each.key].arn}:Jwt:SecretKey::"
        }
      }
    }
  }

  instance_configuration {
    cpu               = "256"
    memory            = "512"
    instance_role_arn = aws_iam_role.instance[each.key].arn
  }

  health_check_configuration {
    protocol            = "HTTP"
    path                = "/health"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 1
    unhealthy_threshold = 5
  }

  # AWS answers the block even where nobody asked for it.
  observability_configuration {
    observability_enabled = false
  }

  network_configuration {
    ingress_configuration {
      is_publicly_accessible = true
    }
    egress_configuration {
      egress_type       = "VPC"
      vpc_connector_arn = aws_apprunner_vpc_connector.api[each.key].arn
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "api" {
  for_each            = local.services
  alarm_name          = "joiabagur-prod${each.key}-api-http5xx"
  namespace           = "AWS/AppRunner"
  metric_name         = "5xxStatusResponses"
  dimensions          = { ServiceName = "joiabagur-prod${each.key}-api" }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  alarm_actions       = [aws_sns_topic.alerts.arn]
}
