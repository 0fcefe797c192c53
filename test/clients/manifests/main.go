// What Kubernetes' own code says of a manifest, read from standard input: every document decoded as the API server decodes it, strictly, and every pod held
// against the pod security standard "restricted". Prints a line of JSON a document, and ends with 1 where one is wrong.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type said struct {
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Forbidden []string `json:"forbidden,omitempty"`
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		fail(err)
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	right := true
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fail(err)
		}
		object, kind, err := decoder.Decode(document, nil, nil)
		if err != nil {
			fail(err)
		}
		accessor, err := meta.Accessor(object)
		if err != nil {
			fail(err)
		}
		line := said{Kind: kind.Kind, Name: accessor.GetName()}
		if set, is := object.(*appsv1.StatefulSet); is {
			restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
			template := set.Spec.Template
			for _, result := range evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec) {
				if !result.Allowed {
					right = false
					line.Forbidden = append(line.Forbidden, result.ForbiddenReason+": "+result.ForbiddenDetail)
				}
			}
		}
		text, err := json.Marshal(line)
		if err != nil {
			fail(err)
		}
		fmt.Println(string(text))
	}
	if !right {
		os.Exit(1)
	}
}
