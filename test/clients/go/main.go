// Programs of others that keep their keys in AWS KMS, each doing what its users do with it. The endpoint and the credential come from the environment
// (AWS_ENDPOINT_URL_KMS, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY): nothing here knows that it is not AWS.
//
//	clients tink ARN        envelope encryption of a keyset, under associated data
//	clients gocloud ARN     a secrets.Keeper by URL
//	clients sigstore ALIAS  a signer that makes its own key, signs and verifies
package main

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature/kms"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/awskms"
)

var message = []byte("what the key is asked to protect")

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "clients tink|gocloud|sigstore KEY")
		os.Exit(2)
	}
	programs := map[string]func(context.Context, string) error{"tink": tink, "gocloud": goCloud, "sigstore": sigstore}
	program, known := programs[os.Args[1]]
	if !known {
		fmt.Fprintln(os.Stderr, "no such client:", os.Args[1])
		os.Exit(2)
	}
	if err := program(context.Background(), os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
		os.Exit(1)
	}
	fmt.Println(os.Args[1], "ok")
}

// tink keeps a keyset encrypted under the key, and opens it again; another associated data does not open it.
func tink(ctx context.Context, arn string) error {
	client, err := awskms.NewClientWithOptions(ctx, "aws-kms://"+arn)
	if err != nil {
		return err
	}
	under, err := client.GetAEAD("aws-kms://" + arn)
	if err != nil {
		return err
	}
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return err
	}
	var stored bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&stored), under, []byte("keyset 1")); err != nil {
		return err
	}
	kept := stored.Bytes()
	opened, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(kept)), under, []byte("keyset 1"))
	if err != nil {
		return err
	}
	if opened.String() != handle.String() {
		return errors.New("another keyset came back")
	}
	if _, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(kept)), under, []byte("keyset 2")); err == nil {
		return errors.New("it opened under another associated data")
	}
	return nil
}

// goCloud encrypts and decrypts through a keeper that is opened by its URL.
func goCloud(ctx context.Context, arn string) error {
	keeper, err := secrets.OpenKeeper(ctx, "awskms:///"+arn+"?region="+url.QueryEscape(strings.Split(arn, ":")[3])+"&context_of=data")
	if err != nil {
		return err
	}
	defer keeper.Close()
	ciphertext, err := keeper.Encrypt(ctx, message)
	if err != nil {
		return err
	}
	plaintext, err := keeper.Decrypt(ctx, ciphertext)
	if err != nil {
		return err
	}
	if !bytes.Equal(plaintext, message) {
		return errors.New("another plaintext came back")
	}
	ciphertext[len(ciphertext)-1] ^= 1
	if _, err := keeper.Decrypt(ctx, ciphertext); err == nil {
		return errors.New("a changed ciphertext opened")
	}
	return nil
}

// sigstore makes a key under an alias, signs with it, and verifies with the public key and at the service.
func sigstore(ctx context.Context, alias string) error {
	signer, err := kms.Get(ctx, "awskms:///"+alias, crypto.SHA256)
	if err != nil {
		return err
	}
	if _, err := signer.CreateKey(ctx, signer.DefaultAlgorithm()); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	signature, err := signer.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	if err := signer.VerifySignature(bytes.NewReader(signature), bytes.NewReader(message), options.WithContext(ctx)); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if err := signer.VerifySignature(bytes.NewReader(signature), bytes.NewReader(message), options.WithRemoteVerification(true)); err != nil {
		return fmt.Errorf("verify remotely: %w", err)
	}
	if err := signer.VerifySignature(bytes.NewReader(signature), bytes.NewReader([]byte("another message")), options.WithRemoteVerification(true)); err == nil {
		return errors.New("a signature of another message was taken")
	}
	return nil
}
