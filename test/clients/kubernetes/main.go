// The code of kube-apiserver that encrypts what goes into etcd, driven line by line: it reads an EncryptionConfiguration, probes its KMS v2 plugin, makes and
// rotates its data keys and transforms objects exactly as the API server does, because it is the same code. Beside it, KMS v2 spoken by grpc-go alone, also
// over mutual TLS.
//
// One JSON object a line on stdin, one on stdout for each.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	kmstypes "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
	"k8s.io/klog/v2"
	kmsapi "k8s.io/kms/apis/v2"
)

type request struct {
	Do string `json:"do"`
	// Of an API server, or of a connection.
	Id string `json:"id"`
	// EncryptionConfiguration.
	Config string `json:"config"`
	// Of the provider in it.
	Provider string `json:"provider"`
	AheadMs  int64  `json:"aheadMs"`
	// Where in etcd an object stands, and what it is.
	Path string `json:"path"`
	Data []byte `json:"data"`
	// KMS v2.
	Endpoint    string            `json:"endpoint"`
	Ca          string            `json:"ca"`
	Certificate string            `json:"certificate"`
	KeyFile     string            `json:"keyFile"`
	Metadata    map[string]string `json:"metadata"`
	Uid         string            `json:"uid"`
	KeyId       string            `json:"keyId"`
	Annotations map[string][]byte `json:"annotations"`
	TimeoutMs   int64             `json:"timeoutMs"`
	Gzip        bool              `json:"gzip"`
}

type answer struct {
	Error       string            `json:"error,omitempty"`
	Code        string            `json:"code,omitempty"`
	Data        []byte            `json:"data,omitempty"`
	Stale       bool              `json:"stale,omitempty"`
	KeyId       string            `json:"keyId,omitempty"`
	Annotations map[string][]byte `json:"annotations,omitempty"`
	Version     string            `json:"version,omitempty"`
	Healthz     string            `json:"healthz,omitempty"`
}

type server struct {
	config *encryptionconfig.EncryptionConfiguration
	stop   context.CancelFunc
}

var servers = map[string]server{}
var connections = map[string]*grpc.ClientConn{}

func main() {
	klog.LogToStderr(false)
	klog.SetOutput(os.Stderr)
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			panic(err)
		}
		got, err := do(asked)
		if err != nil {
			got.Error = err.Error()
			got.Code = codeOf(err)
		}
		if err := out.Encode(got); err != nil {
			panic(err)
		}
	}
}

func codeOf(err error) string {
	var carries interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carries) {
		return carries.GRPCStatus().Code().String()
	}
	return codes.Unknown.String()
}

func do(asked request) (answer, error) {
	switch asked.Do {
	case "start":
		ctx, stop := context.WithCancel(context.Background())
		config, err := encryptionconfig.LoadEncryptionConfig(ctx, asked.Config, false, "apiserver-of-a-test")
		if err != nil {
			stop()
			return answer{}, err
		}
		servers[asked.Id] = server{config, stop}
		return answer{}, nil
	case "stop":
		servers[asked.Id].stop()
		delete(servers, asked.Id)
		return answer{}, nil
	case "clock":
		ahead := time.Duration(asked.AheadMs) * time.Millisecond
		kmsv2.SetNowFuncForTests(asked.Provider, func() time.Time { return time.Now().Add(ahead) })
		return answer{}, nil
	case "health":
		check, err := http.NewRequest("GET", "https://localhost/healthz", nil)
		if err != nil {
			return answer{}, err
		}
		return answer{}, servers[asked.Id].config.HealthChecks[0].Check(check)
	case "write":
		data, err := secrets(asked.Id).TransformToStorage(context.Background(), asked.Data, value.DefaultContext(asked.Path))
		return answer{Data: data}, err
	case "read":
		data, stale, err := secrets(asked.Id).TransformFromStorage(context.Background(), asked.Data, value.DefaultContext(asked.Path))
		return answer{Data: data, Stale: stale}, err
	case "stored":
		return stored(asked)
	case "connect":
		return connect(asked)
	case "Status", "Encrypt", "Decrypt":
		return call(asked)
	}
	return answer{}, fmt.Errorf("unknown: %s", asked.Do)
}

func secrets(id string) value.Transformer {
	return servers[id].config.Transformers[schema.GroupResource{Resource: "secrets"}]
}

// stored tells what stands in etcd in the clear.
func stored(asked request) (answer, error) {
	body := bytes.TrimPrefix(asked.Data, []byte("k8s:enc:kms:v2:"+asked.Provider+":"))
	object := &kmstypes.EncryptedObject{}
	if err := proto.Unmarshal(body, object); err != nil {
		return answer{}, err
	}
	return answer{KeyId: object.KeyID, Annotations: object.Annotations, Data: object.EncryptedDEKSource}, kmsv2.ValidateEncryptedObject(object)
}

func connect(asked request) (answer, error) {
	transport := insecure.NewCredentials()
	if asked.Ca != "" {
		roots := x509.NewCertPool()
		pem, err := os.ReadFile(asked.Ca)
		if err != nil {
			return answer{}, err
		}
		roots.AppendCertsFromPEM(pem)
		settings := &tls.Config{RootCAs: roots}
		if asked.Certificate != "" {
			pair, err := tls.LoadX509KeyPair(asked.Certificate, asked.KeyFile)
			if err != nil {
				return answer{}, err
			}
			settings.Certificates = []tls.Certificate{pair}
		}
		transport = credentials.NewTLS(settings)
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(transport)}
	if asked.Ca == "" {
		options = append(options, grpc.WithAuthority("localhost"))
	}
	connection, err := grpc.NewClient(asked.Endpoint, options...)
	if err == nil {
		connections[asked.Id] = connection
	}
	return answer{}, err
}

func call(asked request) (answer, error) {
	timeout := time.Duration(asked.TimeoutMs) * time.Millisecond
	if timeout == 0 {
		timeout = 3 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for name, text := range asked.Metadata {
		ctx = metadata.AppendToOutgoingContext(ctx, name, text)
	}
	options := []grpc.CallOption{}
	if asked.Gzip {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	client := kmsapi.NewKeyManagementServiceClient(connections[asked.Id])
	switch asked.Do {
	case "Status":
		got, err := client.Status(ctx, &kmsapi.StatusRequest{}, options...)
		return answer{Version: got.GetVersion(), Healthz: got.GetHealthz(), KeyId: got.GetKeyId()}, err
	case "Encrypt":
		got, err := client.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: asked.Data, Uid: asked.Uid}, options...)
		return answer{Data: got.GetCiphertext(), KeyId: got.GetKeyId(), Annotations: got.GetAnnotations()}, err
	default:
		got, err := client.Decrypt(ctx, &kmsapi.DecryptRequest{
			Ciphertext: asked.Data, Uid: asked.Uid, KeyId: asked.KeyId, Annotations: asked.Annotations,
		}, options...)
		return answer{Data: got.GetPlaintext()}, err
	}
}
