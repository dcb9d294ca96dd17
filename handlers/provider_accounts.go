package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Accounts lists a page of the portal's accounts; search and page are in the
// address.
func (h *Provider) Accounts(c echo.Context, provider *models.Provider) error {
	in := query(c)
	p := views.AccountListProps{Filter: models.AccountFilter{Search: in.text("q", maxSearch),
		Disabled: choice(in, "state", []string{views.AccountsDisabled}) != "", Page: in.paging()}}
	if err := in.err(); err != nil {
		return err
	}
	var err error
	if p.Page, err = provider.Accounts(c.Request().Context(), p.Filter); err != nil {
		return err
	}
	if p.Frame, err = h.at(c, views.EntryAccounts); err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.AccountList(p))
}

// Account is an account's page for operators.
func (h *Provider) Account(c echo.Context, provider *models.Provider) error {
	return h.account(c, provider, views.Form{}, nil)
}

func (h *Provider) account(c echo.Context, provider *models.Provider, f views.Form, cause error) error {
	account, err := id[models.UserID](c, "account")
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	p := views.ProviderAccountProps{Form: f, CanManage: provider.Can(models.AccountManage), Self: provider.Actor().ID == string(account)}
	if p.Account, err = provider.Account(ctx, account); err != nil {
		return err
	}
	if p.Changes, err = provider.RecentChanges(ctx, string(account)); err != nil {
		return err
	}
	if p.Frame, err = h.at(c, views.EntryAccounts); err != nil {
		return err
	}
	status := http.StatusOK
	if cause != nil {
		var again bool
		if status, again = refused(c, f, cause, &p.Frame); !again {
			return cause
		}
		p.Asked = true
	}
	return Render(c, status, views.ProviderAccount(p))
}

// DisableAccount shuts an account out of the whole portal, for a reason.
func (h *Provider) DisableAccount(c echo.Context, provider *models.Provider) error {
	account, err := id[models.UserID](c, "account")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in)
	f.Values["reason"] = in.text("reason", 1000)
	if err = faulty(f); err == nil {
		err = provider.DisableAccount(c.Request().Context(), account, f.Values["reason"])
	}
	if err != nil {
		return h.account(c, provider, f, err)
	}
	return h.moved(c, views.ProviderAccountURL(account), "The account is disabled. What it had open ends within seconds.", nil)
}

// EnableAccount lets it in again.
func (h *Provider) EnableAccount(c echo.Context, provider *models.Provider) error {
	account, err := id[models.UserID](c, "account")
	if err != nil {
		return err
	}
	return h.moved(c, views.ProviderAccountURL(account), "The account is enabled. Its API tokens and VPN devices are to be made anew.",
		provider.EnableAccount(c.Request().Context(), account))
}
