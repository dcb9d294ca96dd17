package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// clientAddress finds who asks: the connection's other end, or, where that is
// a trusted proxy, the nearest address in front of it that isn't one.
func clientAddress(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	return echo.ExtractIPFromXFFHeader(trusting(proxies)...)
}

// clientScheme finds how the browser came: by TLS here, or at a trusted proxy.
func clientScheme(proxies []netip.Prefix) func(*http.Request) string {
	if len(proxies) == 0 {
		return echo.ExtractSchemeDirect()
	}
	return echo.ExtractSchemeFromHeaders(trusting(proxies)...)
}

// trusting lists the proxies and nobody else: the framework would trust every
// private address by itself.
func trusting(proxies []netip.Prefix) []echo.TrustOption {
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		p = p.Masked()
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return options
}

// publicOrigin is PublicURL as browsers write an origin: lower case, without
// the scheme's own port, nothing behind the host. "" where there is none.
func (o Options) publicOrigin() (string, error) {
	if o.PublicURL == "" {
		return "", nil
	}
	u, err := url.Parse(o.PublicURL)
	if err != nil {
		return "", fmt.Errorf("public URL: %w", err)
	}
	if u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return "", fmt.Errorf("public URL %q: want scheme and host, and nothing behind", o.PublicURL)
	}
	host := strings.ToLower(u.Host)
	if own, ok := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; ok {
		host = strings.TrimSuffix(host, own)
	}
	return u.Scheme + "://" + host, nil
}

// Origins lists under what scheme and host browsers know the portal: what the
// console compares a socket's Origin with.
func (o Options) Origins() func(*http.Request) []string {
	scheme := clientScheme(o.TrustedProxies)
	public, err := o.publicOrigin()
	return func(r *http.Request) []string {
		switch {
		case err != nil: // New refuses to serve
			return nil
		case public != "":
			return []string{public}
		}
		return []string{scheme(r) + "://" + r.Host}
	}
}

// byTLS says whether a browser's way to the portal is TLS, by what the
// connection or a trusted proxy says, or because it is so for everybody.
func (o Options) byTLS() func(*http.Request) bool {
	scheme := clientScheme(o.TrustedProxies)
	public, _ := o.publicOrigin()
	everybody := strings.HasPrefix(public, "https://")
	return func(r *http.Request) bool { return everybody || scheme(r) == "https" }
}
