"""What the contract declares about events and numbers, for `tests.support.model_oracle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_CLICKS = """
user_id session_id source sku category channel region promotion_id member device variant campaign dwell_ms keyword
ad_unit cost live_room currency app_version coupon page slot load_ms
"""
_ORDERS = """
order_id user_id source discount shipping_fee refund_amount channel region promotion_id member first_order variant
campaign live_room reason currency device app_version coupon payment_type error_code amount units refund
"""
_LOGISTICS = "source order_id sku warehouse on_hand qty delta carrier region category reason"

EVENT_FIELDS: Mapping[str, frozenset[str]] = {
    "clicks": frozenset(_CLICKS.split()),
    "orders": frozenset(_ORDERS.split()),
    "logistics": frozenset(_LOGISTICS.split()),
}
"""# <topic: fields of its events, and those that are computed of an order>"""
ITEM_FIELDS = frozenset({"sku", "category", "qty", "unit_price", "cost"})
"""Fields of the lines of orders."""
OF_LINES = frozenset({"amount", "units", "refund"})
"""Numbers of an order that its lines share."""
MONEY = frozenset({"amount", "refund", "discount", "shipping_fee", "refund_amount", "cost", "unit_price"})
FLAGS = frozenset({"member", "first_order"})
TYPES: Mapping[str, Sequence[str]] = {
    "clicks": (
        *("page_view", "product_view", "search", "add_to_cart", "favorite", "checkout_start"),
        *("ad_impression", "ad_click", "live_enter", "live_comment"),
    ),
    "orders": ("order_created", "order_paid", "payment_failed", "order_cancelled", "order_refunded"),
    "logistics": (
        *("stock_level", "stock_received", "stock_adjusted"),
        *("shipment_dispatched", "shipment_delivered", "shipment_delayed", "return_received"),
    ),
}
TOPIC_OF = {name: topic for topic, names in TYPES.items() for name in names}
BUILT_IN = """
dimensions:
  - {name: all}
  - {name: promotion, field: promotion_id, distincts: true}
  - {name: channel, field: channel, distincts: true}
  - {name: region, field: region, distincts: true}
  - {name: category, field: category, distincts: true}
  - {name: campaign, field: campaign, distincts: true}
  - {name: live_room, field: live_room, distincts: true}
  - {name: variant, field: variant, distincts: true}
  - {name: member, field: member, distincts: true}
  - {name: sku, field: sku, distincts: true}
measures:
  - {name: page_views, count: page_view}
  - {name: product_views, count: product_view}
  - {name: searches, count: search}
  - {name: cart_adds, count: add_to_cart}
  - {name: favorites, count: favorite}
  - {name: checkouts, count: checkout_start}
  - {name: ad_impressions, count: ad_impression}
  - {name: ad_clicks, count: ad_click}
  - {name: live_enters, count: live_enter}
  - {name: live_comments, count: live_comment}
  - {name: ad_cost, sum: cost, of: ad_click}
  - {name: orders_created, count: order_created}
  - {name: orders_paid, count: order_paid}
  - {name: payments_failed, count: payment_failed}
  - {name: orders_cancelled, count: order_cancelled}
  - {name: orders_refunded, count: order_refunded}
  - {name: units, sum: units, of: order_paid}
  - {name: gmv, sum: amount, of: order_paid}
  - {name: refunds, sum: refund, of: order_refunded}
  - {name: discounts, sum: discount, of: order_paid}
  - {name: dispatched, count: shipment_dispatched}
  - {name: delivered, count: shipment_delivered}
  - {name: delayed, count: shipment_delayed}
  - {name: returned_units, sum: qty, of: return_received}
  - name: visitors
    distinct: user_id
    of: [page_view, product_view, search, add_to_cart, favorite, checkout_start, ad_click, live_enter, live_comment]
  - name: sessions
    distinct: session_id
    of: [page_view, product_view, search, add_to_cart, favorite, checkout_start, ad_click, live_enter, live_comment]
  - {name: buyers, distinct: user_id, of: order_paid}
metrics:
  - {name: net_gmv, formula: gmv - refunds}
  - {name: aov, formula: gmv / orders_paid}
  - {name: conversion_rate, formula: buyers / visitors}
  - {name: cart_rate, formula: cart_adds / product_views}
  - {name: checkout_rate, formula: checkouts / cart_adds}
  - {name: order_rate, formula: orders_created / checkouts}
  - {name: payment_rate, formula: orders_paid / orders_created}
  - {name: payment_failure_rate, formula: payments_failed / (payments_failed + orders_paid)}
  - {name: cancellation_rate, formula: orders_cancelled / orders_created}
  - {name: refund_rate, formula: orders_refunded / orders_paid}
  - {name: units_per_order, formula: units / orders_paid}
  - {name: discount_rate, formula: discounts / (gmv + discounts)}
  - {name: ctr, formula: ad_clicks / ad_impressions}
  - {name: cpc, formula: ad_cost / ad_clicks}
"""
"""The part of the dictionary that formulas of tests use: not repeats, stock, shipping and targets."""
ZERO_WITHOUT_FIELD = frozenset({"dispatched", "delivered", "delayed", "returned_units"})
"""Counters that are 0, not null, in the dictionary's scopes that logistics events have no field for."""
