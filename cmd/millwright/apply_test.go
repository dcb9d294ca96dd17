package main

import (
	"context"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/config"
	"github.com/millwright/millwright/internal/testkit"
)

// Several nodes may start at the same moment on a fresh database.
func TestNodesThatStartTogetherConfigureOnce(t *testing.T) {
	t.Parallel()
	url := testkit.PostgresURL(t)
	options := portalOptions{config: config.Config{
		Clouds: []config.Cloud{{Slug: "east", Name: "East", Class: "private", URL: "https://vc.example/sdk", Username: "u", Password: "p"}},
		Orgs: []config.Org{{Slug: "acme", Name: "Acme", Quota: map[string]int64{"machines": 3},
			Networks: []config.Network{{Cloud: "east", Name: "default", CIDR: "10.0.0.0/24", Gateway: "10.0.0.1"}},
			Members:  []config.Member{{Person: config.Person{Email: "a@acme.example", Name: "A"}, Role: "admin"}}}},
		Operators: []config.Person{{Email: "operator@provider.example", Name: "O"}},
	}}
	var wg sync.WaitGroup
	for range 4 {
		system := testkit.Open(t, url).System()
		wg.Go(func() {
			if err := configure(context.Background(), system, options); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
