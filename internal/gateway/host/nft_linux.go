package host

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway/render"
)

// nft works on the tables of one namespace.
type nft struct {
	ns      namespace
	program string
}

// list is all that the kernel has, without the counters' values: also what is
// not ours has a say.
func (n nft) list(ctx context.Context) (string, error) {
	return n.ns.run(ctx, "", n.program, "-s", "list", "ruleset")
}

func (n nft) check(ctx context.Context, text string) error {
	_, err := n.ns.run(ctx, text, n.program, "-c", "-f", "-")
	return err
}

func (n nft) load(ctx context.Context, text string) error {
	_, err := n.ns.run(ctx, text, n.program, "-f", "-")
	return err
}

var stampForm = regexp.MustCompile(`gen=\d+ hash=([0-9a-f]+) epoch=([A-Z2-7]+)`)

// stamp reads what the table says of itself: the hash of its text, and since
// when its counters count. A table that isn't there begins a new epoch.
func stamp(listing string) (hash, epoch string) {
	if m := stampForm.FindStringSubmatch(listing); m != nil {
		return m[1], m[2]
	}
	return "", rand.Text()
}

// epoch reads the stamp alone.
func (n nft) epoch(ctx context.Context) string {
	text, err := n.ns.run(ctx, "", n.program, "-s", "list", "chain", "ip", render.Table, "mw_stamp")
	if err != nil {
		text = ""
	}
	_, epoch := stamp(text)
	return epoch
}

// reading is a counter of the kernel.
type reading struct{ packets, bytes int64 }

// counters reads all of the table's by netlink: a listing by nft takes ten
// times as long, and this is done on every tick.
func (n nft) counters() (map[string]reading, error) {
	body, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_OBJ_TABLE, Data: append([]byte(render.Table), 0)},
		{Type: unix.NFTA_OBJ_TYPE, Data: binary.BigEndian.AppendUint32(nil, unix.NFT_OBJECT_COUNTER)},
	})
	if err != nil {
		return nil, err
	}
	list, err := n.ask(unix.NFT_MSG_GETOBJ, unix.NFPROTO_IPV4, netlink.Request|netlink.Dump, body)
	if errors.Is(err, unix.ENOENT) {
		return map[string]reading{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	out := make(map[string]reading, len(list))
	for _, message := range list {
		if len(message.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(message.Data[4:])
		if err != nil {
			return nil, err
		}
		ad.ByteOrder = binary.BigEndian
		var name string
		var r reading
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_OBJ_NAME:
				name = ad.String()
			case unix.NFTA_OBJ_DATA:
				ad.Nested(func(data *netlink.AttributeDecoder) error {
					data.ByteOrder = binary.BigEndian
					for data.Next() {
						switch data.Type() {
						case unix.NFTA_COUNTER_BYTES:
							r.bytes = int64(data.Uint64()) // #nosec G115 -- would take an exabyte
						case unix.NFTA_COUNTER_PACKETS:
							r.packets = int64(data.Uint64()) // #nosec G115
						}
					}
					return data.Err()
				})
			}
		}
		if err := ad.Err(); err != nil {
			return nil, err
		}
		out[name] = r
	}
	return out, nil
}

// generation changes with every change of the namespace's rules, whoever makes
// it: a cheap way to know that nothing drifted.
func (n nft) generation() (uint32, error) {
	list, err := n.ask(unix.NFT_MSG_GETGEN, unix.NFPROTO_UNSPEC, netlink.Request, nil)
	if err != nil {
		return 0, fmt.Errorf("generation of the rules: %w", err)
	}
	for _, message := range list {
		ad, err := netlink.NewAttributeDecoder(message.Data[4:])
		if err != nil {
			return 0, err
		}
		ad.ByteOrder = binary.BigEndian
		for ad.Next() {
			if ad.Type() == unix.NFTA_GEN_ID {
				return ad.Uint32(), nil
			}
		}
	}
	return 0, errors.New("generation of the rules: no answer")
}

func (n nft) ask(kind uint16, family byte, flags netlink.HeaderFlags, body []byte) ([]netlink.Message, error) {
	file, err := netns.GetFromPath(n.ns.path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // a descriptor
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(file)})
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // only asked
	return conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: flags},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, body...),
	})
}

// Complaints name a line of what was given; HAProxy's of a section as a whole
// name the section. Warnings, which may come before, are nobody's fault.
var (
	nftLine        = regexp.MustCompile(`(?m)^(?:-|/dev/stdin):(\d+):[0-9-]+: Error`)
	haproxyLine    = regexp.MustCompile(`(?m)^\[ALERT\].*? parsing \[[^\]]*:(\d+)\]`)
	haproxySection = regexp.MustCompile(`(?m)^\[ALERT\].*?\b(svc_\d+)\b`)
)

// blamed finds the object that a program complains of.
func blamed(err error, text string) edge.Blame {
	var failed *commandError
	if !errors.As(err, &failed) {
		return edge.Blame{}
	}
	for _, form := range []*regexp.Regexp{nftLine, haproxyLine} {
		if at := form.FindStringSubmatchIndex(failed.text); at != nil {
			line, _ := strconv.Atoi(failed.text[at[2]:at[3]])
			if id, ok := render.Object(text, line); ok {
				return edge.Blame{ID: id, Text: lineAt(failed.text, at[0])}
			}
		}
	}
	if at := haproxySection.FindStringSubmatchIndex(failed.text); at != nil {
		if id, ok := render.ObjectOf(text, failed.text[at[2]:at[3]]); ok {
			return edge.Blame{ID: id, Text: lineAt(failed.text, at[0])}
		}
	}
	return edge.Blame{}
}

func lineAt(text string, from int) string {
	first, _, _ := strings.Cut(text[from:], "\n")
	return first
}
