package models

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// refusals says for people what a trigger refuses by name. The rule itself is
// the database's, so that no way around it exists.
var refusals = map[string]struct{ field, sentence string }{
	"network_size":           {"cidr", "A network has from 8 addresses (/29) to 16 million (/8)."},
	"network_range_reserved": {"cidr", "This range has a meaning of its own everywhere: loopback, link-local, multicast or reserved. Choose a private one, such as 10.40.0.0/24."},
	"network_overlap":        {"cidr", "Another network of this org, or its VPN, has some of these addresses. Choose a range apart from them."},
	"address_reserved":       {"address", "This address can't be a machine's: it is outside the network, or the network's own, its broadcast or its gateway's."},
	"port_reserved":          {"port", "This port is kept for the gateway itself. Choose another."},
}

// refused turns a trigger's refusal into an invalid field; nil for any other
// error.
func refused(err error) error {
	name := ""
	var pg *pgconn.PgError
	var lite *driver.Error
	switch {
	case errors.As(err, &pg) && pg.Code == "MW001":
		name = pg.Message
	case errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
		for known := range refusals {
			if strings.Contains(lite.Error(), known) {
				name = known
			}
		}
	}
	r, ok := refusals[name]
	if !ok {
		return nil
	}
	return &Error{Code: CodeInvalid, Message: r.sentence, Fields: map[string]string{r.field: r.sentence}, Err: err}
}
