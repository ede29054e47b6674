//go:build tools

// Package apiserver pins what the tests run against: a real kube-apiserver with its etcd and controllers, and kubectl.
// The imports keep these programs in go.mod and go.sum; nothing is ever built from this file.
package apiserver

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
