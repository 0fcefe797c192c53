"""Encrypts or decrypts one file with the AWS Encryption SDK: encryption_sdk.py encrypt|decrypt KEY-ARN CONTEXT-JSON FROM TO"""
import json
import sys

import aws_encryption_sdk
from aws_encryption_sdk.identifiers import CommitmentPolicy

way, key, context, source, target = sys.argv[1:]
client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
provider = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(key_ids=[key])
with open(source, "rb") as file:
    given = file.read()
if way == "encrypt":
    result, _ = client.encrypt(source=given, key_provider=provider, encryption_context=json.loads(context))
else:
    result, header = client.decrypt(source=given, key_provider=provider)
    for name, value in json.loads(context).items():
        if header.encryption_context.get(name) != value:
            sys.exit(f"the encryption context lacks {name}")
with open(target, "wb") as file:
    file.write(result)
