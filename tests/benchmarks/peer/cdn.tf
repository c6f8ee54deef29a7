# The CDN `web`: the SPA from one bucket, the models from the other.

locals {
  copies            = toset(local.suffixes)
  caching_optimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"
  cors_s3_origin    = "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf"
  security_headers  = "67f7725c-6f97-4210-82d7-5512b31e9d03"
  cors_and_security = "e61eb60c-9c35-4d20-a928-2b84e02af89c"
}

resource "aws_cloudfront_origin_access_control" "web" {
  for_each                          = local.copies
  name                              = "joiabagur-prod-web${each.key}"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_function" "web" {
  for_each = local.copies
  name     = "joiabagur-prod-web${each.key}"
  runtime  = "cloudfront-js-2.0"
  publish  = true
  code     = <<-JS
    function handler(event) {
      var request = event.request;
      if (request.uri.lastIndexOf('.') <= request.uri.lastIndexOf('/')) { request.uri = '/index.html'; }
      return request;
    }
  JS
}

resource "aws_cloudfront_distribution" "web" {
  for_each            = local.copies
  enabled             = true
  comment             = "joiabagur-prod-web${each.key}"
  default_root_object = "index.html"
  http_version        = "http2and3"
  is_ipv6_enabled     = true
  price_class         = "PriceClass_100"
  wait_for_deployment = false

  dynamic "origin" {
    for_each = ["web", "files"]
    content {
      origin_id                = origin.value
      domain_name              = aws_s3_bucket.this["${origin.value}${each.key}"].bucket_regional_domain_name
      origin_access_control_id = aws_cloudfront_origin_access_control.web[each.key].id
    }
  }

  default_cache_behavior {
    target_origin_id           = "web"
    allowed_methods            = ["GET", "HEAD", "OPTIONS"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "redirect-to-https"
    compress                   = true
    cache_policy_id            = local.caching_optimized
    response_headers_policy_id = local.security_headers

    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.web[each.key].arn
    }
  }

  ordered_cache_behavior {
    path_pattern               = "/ml-models/*"
    target_origin_id           = "files"
    allowed_methods            = ["GET", "HEAD", "OPTIONS"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "redirect-to-https"
    compress                   = true
    cache_policy_id            = local.caching_optimized
    origin_request_policy_id   = local.cors_s3_origin
    response_headers_policy_id = local.cors_and_security
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = true
  }
}
