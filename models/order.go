package models

// Order is what a user asks for, as typed: ids or slugs, "" for "choose for me".
type Order struct {
	Name         string
	Template     string
	InstanceType string
	Network      string // "" = the default one of the chosen cloud
	Cloud        string // "" = automatic
	Address      string // of the network; "" = the next free one
	Count        int    // 0 means 1; more get numbered names
}

// Plan is what an Order would lead to, before it is submitted.
type Plan struct {
	Order              Order
	Template           Template
	InstanceType       InstanceType
	Cloud              Cloud
	Network            Network
	Reason             string      // why this cloud, in a sentence
	Placements         []Placement // every cloud that was considered, best first
	PricePerHourMicros int64       // of all machines of the order
	Quota              []QuotaAfter
}

// HoursPerMonth is how many hours a month's price counts, as cloud price lists
// do: 365 × 24 ÷ 12.
const HoursPerMonth = 730

// Placement is one cloud that was considered.
type Placement struct {
	Cloud              Cloud
	Fits               bool
	Why                string // why it fits, or what stands against it
	PricePerHourMicros int64  // of one machine there
}

// QuotaAfter is a quota bar with the order taken into account.
type QuotaAfter struct {
	Quota
	After int64
	Fits  bool
}
