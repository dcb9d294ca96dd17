package models

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Edge is a gateway's way in: the desired state of the orgs that it carries,
// and its reports. Only System makes one, from a token.
type Edge struct {
	db   *DB
	id   EdgeID
	name string
}

func (e *Edge) ID() EdgeID   { return e.id }
func (e *Edge) Name() string { return e.name }

// Edges is a registered gateway host, as operators see it.
type Edges struct {
	ID         EdgeID `gorm:"primaryKey"`
	Name       string
	Local      bool // in the portal's own process: the lab's
	CreatedAt  time.Time
	DisabledAt *time.Time
	SeenAt     *time.Time
	Agent      string // version of the program
	Epoch      string // of its counters
	Problem    string // of the host as a whole
	Features   string // JSON of []EdgeFeature

	CloudIDs []CloudID `gorm:"-"` // none: all of them
	Orgs     int       `gorm:"-"`
	Behind   int       `gorm:"-"` // orgs whose last change is not applied
}

func (*Edges) TableName() string { return "edges" }

// Object is how the history names the gateway.
func (e *Edges) Object() Object { return Object{Kind: "gateway", ID: string(e.ID), Name: e.Name} }

// EdgeFeature is what a gateway host has or lacks.
type EdgeFeature struct {
	Name    string `json:"name"`
	Present bool   `json:"present"`
	Detail  string `json:"detail"`
}

// FeatureList reads Features.
func (e *Edges) FeatureList() []EdgeFeature {
	var list []EdgeFeature
	_ = json.Unmarshal([]byte(e.Features), &list)
	return list
}

// edgeToken is a gateway's key, stored as a hash. A gateway has two while one
// is being replaced by the other.
type edgeToken struct {
	Hash      string `gorm:"primaryKey"`
	EdgeID    EdgeID
	CreatedAt time.Time
	ExpiresAt *time.Time
}

func (edgeToken) TableName() string { return "edge_tokens" }

type edgeCloud struct {
	EdgeID  EdgeID  `gorm:"primaryKey"`
	CloudID CloudID `gorm:"primaryKey"`
}

func (edgeCloud) TableName() string { return "edge_clouds" }

// EdgeTokenOverlap is how long a replaced token still works.
const EdgeTokenOverlap = time.Hour

// edgeTokenPrefix lets people and scanners tell what it is.
const edgeTokenPrefix = "mwe_"

func newEdgeToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return edgeTokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// hashEdgeToken: the token is 256 random bits, so that one round of SHA-256 is
// enough, and looking it up by hash tells nothing by time.
func hashEdgeToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Edge is the way in for the bearer of a gateway's token. Any other text, an
// expired token, and a disabled gateway are the same ErrNotFound.
func (s *System) Edge(ctx context.Context, token string) (*Edge, error) {
	if !strings.HasPrefix(token, edgeTokenPrefix) || len(token) > 100 {
		return nil, NotFound("gateway")
	}
	var row Edges
	err := s.reading(ctx, func(r *Reader) error {
		return absent(r.tx.Model(&Edges{}).Joins("JOIN edge_tokens t ON t.edge_id = edges.id").
			Where("t.hash = ? AND (t.expires_at IS NULL OR t.expires_at > ?) AND edges.disabled_at IS NULL", hashEdgeToken(token), Now()).
			Take(&row).Error, "gateway")
	})
	if err != nil {
		return nil, err
	}
	return &Edge{db: s.db, id: row.ID, name: row.Name}, nil
}

// LocalEdge is the way in for the gateway in the portal's own process; it has
// no token. Made at first.
func (s *System) LocalEdge(ctx context.Context, name string) (*Edge, error) {
	var row Edges
	err := s.changing(ctx, func(w *Writer) error {
		err := w.tx.Take(&row, "local = ?", true).Error
		if !errors.Is(err, gorm.ErrRecordNotFound) {
			return err
		}
		row = Edges{ID: NewID[EdgeID](), Name: name, Local: true, CreatedAt: Now()}
		if err := w.tx.Create(&row).Error; err != nil {
			return err
		}
		return w.recordFor(ProviderOrg, Event{Action: ActionEdgeCreate, Object: row.Object(), Outcome: OutcomeSucceeded})
	})
	if err != nil {
		return nil, err
	}
	return &Edge{db: s.db, id: row.ID, name: row.Name}, nil
}

// Watch subscribes to every org's changes. Call the second result when done.
func (e *Edge) Watch() (<-chan Change, func()) { return e.db.hub.subscribe("") }

// change is the operator's door for gateways: everything through it is in the
// provider's history.
func (p *Provider) changeEdge(ctx context.Context, fn func(w *Writer) error) error {
	return p.db.changing(ctx, scopeValue{all: true}, p.actor, true, fn)
}

// Edges lists the gateways with how many orgs they carry.
func (p *Provider) Edges(ctx context.Context) (list []Edges, err error) {
	err = p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		list, err = r.edges("")
		return err
	})
	return list, err
}

// OneEdge is one of them.
func (p *Provider) OneEdge(ctx context.Context, id EdgeID) (e Edges, err error) {
	err = p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		list, err := r.edges(id)
		if err == nil && len(list) == 0 {
			err = NotFound("gateway")
		}
		if err == nil {
			e = list[0]
		}
		return err
	})
	return e, err
}

func (r *Reader) edges(id EdgeID) ([]Edges, error) {
	q := r.tx.Order("name")
	if id != "" {
		q = q.Where("id = ?", id)
	}
	var list []Edges
	if err := q.Find(&list).Error; err != nil {
		return nil, err
	}
	var clouds []edgeCloud
	if err := r.tx.Find(&clouds).Error; err != nil {
		return nil, err
	}
	var orgs []struct {
		EdgeID EdgeID
		Orgs   int
		Behind int
	}
	err := r.tx.Model(&OrgGateway{}).Select("edge_id, COUNT(*) AS orgs, SUM(CASE WHEN applied < generation THEN 1 ELSE 0 END) AS behind").
		Where("edge_id IS NOT NULL").Group("edge_id").Find(&orgs).Error
	if err != nil {
		return nil, err
	}
	for i := range list {
		for _, c := range clouds {
			if c.EdgeID == list[i].ID {
				list[i].CloudIDs = append(list[i].CloudIDs, c.CloudID)
			}
		}
		for _, o := range orgs {
			if o.EdgeID == list[i].ID {
				list[i].Orgs, list[i].Behind = o.Orgs, o.Behind
			}
		}
	}
	return list, nil
}

// AddEdge registers a gateway and returns its token, which is shown once and
// not kept.
func (p *Provider) AddEdge(ctx context.Context, name string, clouds []CloudID) (e Edges, token string, err error) {
	e = Edges{ID: NewID[EdgeID](), Name: name, CreatedAt: Now(), CloudIDs: clouds}
	token = newEdgeToken()
	err = p.changeEdge(ctx, func(w *Writer) error {
		err := w.tx.Create(&e).Error
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return Invalid(map[string]string{"name": "Another gateway has this name. Choose a different one."})
		}
		if err != nil {
			return err
		}
		for _, c := range clouds {
			err := w.tx.Create(&edgeCloud{EdgeID: e.ID, CloudID: c}).Error
			if errors.Is(err, gorm.ErrForeignKeyViolated) {
				return Invalid(map[string]string{"clouds": "There is no such cloud. Choose from the list."})
			}
			if err != nil {
				return err
			}
		}
		if err := w.tx.Create(&edgeToken{Hash: hashEdgeToken(token), EdgeID: e.ID, CreatedAt: Now()}).Error; err != nil {
			return err
		}
		w.touchOf(ProviderOrg, "edge", string(e.ID))
		return w.recordFor(ProviderOrg, Event{Action: ActionEdgeCreate, Object: e.Object(), Outcome: OutcomeSucceeded,
			After: map[string]any{"name": name, "clouds": clouds}})
	})
	return e, token, err
}

// RotateEdge gives the gateway a new token. The one before works for another
// EdgeTokenOverlap, unless it is to be refused at once: it may be in the wrong
// hands. Any older one works no more.
func (p *Provider) RotateEdge(ctx context.Context, id EdgeID, atOnce bool) (e Edges, token string, err error) {
	token = newEdgeToken()
	err = p.changeEdge(ctx, func(w *Writer) error {
		if err := absent(w.tx.Take(&e, "id = ?", id).Error, "gateway"); err != nil {
			return err
		}
		if e.Local {
			return Conflict("The lab's own gateway is part of the portal and needs no token.")
		}
		gone := w.tx.Where("edge_id = ?", id)
		if !atOnce { // the one before the last goes in any case
			gone = gone.Where("expires_at IS NOT NULL")
		}
		if err := gone.Delete(&edgeToken{}).Error; err != nil {
			return err
		}
		if err := w.tx.Model(&edgeToken{}).Where("edge_id = ?", id).Update("expires_at", Now().Add(EdgeTokenOverlap)).Error; err != nil {
			return err
		}
		if err := w.tx.Create(&edgeToken{Hash: hashEdgeToken(token), EdgeID: id, CreatedAt: Now()}).Error; err != nil {
			return err
		}
		return w.recordFor(ProviderOrg, Event{Action: ActionEdgeRotate, Object: e.Object(), Outcome: OutcomeSucceeded,
			After: map[string]any{"old_refused_at_once": atOnce}})
	})
	return e, token, err
}

// DisableEdge refuses the gateway's tokens, or takes them again. What it serves
// goes on being served by it: nobody tells it otherwise any more.
func (p *Provider) DisableEdge(ctx context.Context, id EdgeID, disabled bool) error {
	return p.changeEdge(ctx, func(w *Writer) error {
		var e Edges
		if err := absent(w.tx.Take(&e, "id = ?", id).Error, "gateway"); err != nil {
			return err
		}
		var at any
		action := ActionEdgeEnable
		if disabled {
			at, action = Now(), ActionEdgeDisable
		}
		if (e.DisabledAt != nil) == disabled {
			return Conflict("Somebody has done this already. Nothing was changed.")
		}
		if err := w.tx.Model(&Edges{}).Where("id = ?", id).Update("disabled_at", at).Error; err != nil {
			return err
		}
		w.touchOf(ProviderOrg, "edge", string(e.ID))
		return w.recordFor(ProviderOrg, Event{Action: action, Object: e.Object(), Outcome: OutcomeSucceeded,
			Before: map[string]any{"disabled": e.DisabledAt != nil}, After: map[string]any{"disabled": disabled}})
	})
}
