package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/millwright/millwright/internal/edge"
)

func (c *orgCheck) vpn(w *edge.VPN) ([]edge.Blame, error) {
	if err := c.id(w.ID); err != nil {
		return nil, err
	}
	if err := wireguardKey(w.PrivateKey); err != nil {
		return nil, errors.New("the private key is none") // never the key itself
	}
	p, err := cidr(w.CIDR)
	if err != nil {
		return nil, err
	}
	if err := c.private(p); err != nil {
		return nil, err
	}
	own, err := ipv4(w.Address)
	if err != nil {
		return nil, err
	}
	if !usable(p, own) {
		return nil, fmt.Errorf("%s is no address of %s", own, p)
	}
	if err := port(w.Port); err != nil {
		return nil, err
	}
	a, err := c.publicIP(w.PublicIP)
	if err != nil {
		return nil, err
	}
	c.ports[fmt.Sprintf("%s/udp/%d", a, w.Port)] = true
	w.PublicIP, w.CIDR, w.Address = a.String(), p.String(), own.String()
	c.tunnel = append(c.tunnel, p)
	var failed []edge.Blame
	taken := map[string]bool{own.String(): true}
	peers := make([]edge.Peer, 0, len(w.Peers))
	for _, peer := range w.Peers {
		a, err := ipv4(peer.Address)
		switch {
		case err != nil:
		case !usable(p, a):
			err = fmt.Errorf("%s is no address of %s", a, p)
		case wireguardKey(peer.PublicKey) != nil:
			err = errors.New("its public key is none")
		case taken[a.String()] || taken[peer.PublicKey]:
			err = errors.New("its address or key is another device's")
		default:
			err = c.id(peer.ID)
		}
		if err != nil {
			failed = append(failed, edge.Blame{ID: peer.ID, Text: err.Error()})
			continue
		}
		taken[a.String()], taken[peer.PublicKey] = true, true
		peer.Address = a.String()
		peers = append(peers, peer)
	}
	w.Peers = peers
	return failed, nil
}

func wireguardKey(text string) error {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 32 {
		return errors.New("no key")
	}
	return nil
}
