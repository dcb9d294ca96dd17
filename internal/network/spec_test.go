package network_test

import (
	"testing"

	"github.com/millwright/millwright/internal/network"
)

func TestEverybodyIsKnownInPiecesToo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sources []string
		want    bool
	}{
		{[]string{"0.0.0.0/0"}, true},
		{[]string{"0.0.0.0/1", "128.0.0.0/1"}, true},
		{[]string{"64.0.0.0/2", "128.0.0.0/2"}, true},
		{[]string{"10.0.0.0/8", "203.0.113.9/32"}, false},
		{nil, false},
	} {
		if got := network.Everybody(c.sources); got != c.want {
			t.Errorf("%v: everybody is %v, not %v", c.sources, got, c.want)
		}
	}
}
