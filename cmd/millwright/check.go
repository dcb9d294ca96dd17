package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"github.com/millwright/millwright/models"
)

type checkCommand struct {
	Quotas checkQuotasCommand `cmd:"" help:"Recompute what each org uses from its records, and compare it with the bars. Ends with 1 where they differ."`
}

type checkQuotasCommand struct {
	database
	JSON   bool `help:"Print JSON in place of a table."`
	Repair bool `help:"Set bars that differ to what the records say; the org's history tells of it."`
}

// errQuotasDiffer is the end of a check that found something: what it found
// has been printed.
var errQuotasDiffer = errors.New("the bars and the records differ")

// quotaLine is one org's bar of one resource, as the command prints it.
type quotaLine struct {
	Org      string          `json:"org"`
	Resource models.Resource `json:"resource"`
	Ceiling  int64           `json:"ceiling"`
	Used     int64           `json:"used"`
	Counted  int64           `json:"counted"`
	Agrees   bool            `json:"agrees"`
	Repaired bool            `json:"repaired,omitempty"`
}

func (c checkQuotasCommand) Run(ctx context.Context, k *kong.Kong, log *slog.Logger) error {
	// No secret is sealed or opened here, so any key does.
	db, err := models.Open(ctx, models.Options{URL: c.Database, Key: make([]byte, 32), Logger: log})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return c.check(ctx, db.System(), k.Stdout)
}

func (c checkQuotasCommand) check(ctx context.Context, system *models.System, out io.Writer) error {
	rows, err := system.CheckQuotas(ctx)
	if err != nil {
		return fmt.Errorf("check quotas (is the database migrated?): %w", err)
	}
	lines := make([]quotaLine, len(rows))
	differ, repaired := false, map[models.OrgID]bool{}
	for i, row := range rows {
		lines[i] = quotaLine{Org: row.OrgSlug, Resource: row.Resource, Ceiling: row.Ceiling, Used: row.Used, Counted: row.Counted, Agrees: row.Agrees()}
		differ = differ || !row.Agrees()
		if row.Agrees() || !c.Repair {
			continue
		}
		if !repaired[row.OrgID] { // one repair sets all of an org's bars
			if _, err := system.RepairQuotas(ctx, row.OrgID); err != nil {
				return fmt.Errorf("repair the quotas of %s: %w", row.OrgSlug, err)
			}
			repaired[row.OrgID] = true
		}
		lines[i].Repaired = true
	}
	if err := c.print(out, lines); err != nil {
		return err
	}
	if differ {
		return errQuotasDiffer
	}
	return nil
}

func (c checkQuotasCommand) print(out io.Writer, lines []quotaLine) error {
	if c.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(lines)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ORG\tRESOURCE\tCEILING\tUSED\tCOUNTED\t")
	for _, l := range lines {
		verdict := "agrees"
		switch {
		case l.Repaired:
			verdict = "DIFFERS, set right"
		case !l.Agrees:
			verdict = "DIFFERS"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", l.Org, l.Resource, l.Ceiling, l.Used, l.Counted, verdict)
	}
	return w.Flush()
}
