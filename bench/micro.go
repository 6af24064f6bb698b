// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/nats-io/nats.go/micro"
)

// microService is nats.go's own framework of services.
type microService struct{}

func (microService) serveUnary(at place) (place, error) {
	nc, err := connect(at)
	if err != nil {
		return at, err
	}
	_, err = micro.AddService(nc, micro.Config{
		Name: "bench", Version: "1.0.0",
		Endpoint: &micro.EndpointConfig{Subject: "bench.micro", Handler: micro.HandlerFunc(func(r micro.Request) {
			if answer, err := echoed(r.Data()); err == nil {
				_ = r.Respond(answer) // the caller sees what fails
			}
		})},
	})
	if err == nil {
		err = nc.FlushTimeout(patience)
	}
	return at, err
}

func (microService) dialUnary(at place) (unaryCall, error) {
	nc, err := connect(at)
	return requester(nc, "bench.micro"), err
}
