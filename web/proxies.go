package web

import (
	"net"
	"net/http"
	"net/netip"
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

// Origins lists under what scheme and host browsers know the portal: what the
// console compares a socket's Origin with.
func (o Options) Origins() func(*http.Request) []string {
	scheme := clientScheme(o.TrustedProxies)
	return func(r *http.Request) []string {
		if o.PublicURL != "" {
			return []string{strings.TrimSuffix(o.PublicURL, "/")}
		}
		return []string{scheme(r) + "://" + r.Host}
	}
}
