package host

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/millwright/millwright/internal/gateway/render"
)

// foreign is a table or chain in an org's namespace that is not of our making.
// The namespace is the agent's alone: whatever is hooked in beside its chains
// may refuse, or let through, what the org's rules would not.
type foreign struct {
	statement string // takes it away
	words     string
}

// foreign lists what is there beside ours, and what has our name and is hooked
// in elsewhere. All is named by the kernel's handles: the names are other
// hands'.
func (n nft) foreign(ctx context.Context, ours map[string]render.Hook) ([]foreign, error) {
	var list []foreign
	err := n.objects(ctx, "tables", func(o object) {
		if t := o.Table; t != nil && (t.Family != "ip" || t.Name != render.Table) {
			list = append(list, foreign{fmt.Sprintf("delete table %s handle %d", t.Family, t.Handle), fmt.Sprintf("the table %s %q was there", t.Family, t.Name)})
		}
	})
	if err != nil {
		return nil, err
	}
	err = n.objects(ctx, "chains", func(o object) {
		c := o.Chain
		if c == nil || c.Family != "ip" || c.Table != render.Table {
			return
		}
		statement := fmt.Sprintf("delete chain ip %s handle %d", render.Table, c.Handle)
		switch hook, known := ours[c.Name]; {
		case !known:
			list = append(list, foreign{statement, fmt.Sprintf("the chain %q was there", c.Name)})
		case hook != c.Hook:
			list = append(list, foreign{statement, fmt.Sprintf("the chain %q was hooked in elsewhere", c.Name)})
		}
	})
	return list, err
}

// object is a line of nft's listings.
type object struct {
	Table *struct {
		Family string `json:"family"`
		Name   string `json:"name"`
		Handle int    `json:"handle"`
	} `json:"table"`
	Chain *struct {
		render.Hook
		Family string `json:"family"`
		Table  string `json:"table"`
		Name   string `json:"name"`
		Handle int    `json:"handle"`
	} `json:"chain"`
}

func (n nft) objects(ctx context.Context, what string, f func(object)) error {
	text, err := n.ns.run(ctx, "", n.program, "-j", "list", what)
	if err != nil {
		return err
	}
	var all struct {
		Objects []object `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return fmt.Errorf("list %s: %w", what, err)
	}
	for _, o := range all.Objects {
		f(o)
	}
	return nil
}
