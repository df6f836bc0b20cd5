# SPDX-License-Identifier: Apache-2.0
# What the report page is made of, in order.
set(page_libraries vega vega-lite vega-embed)
set(page_program text charts choices series run fabric studies compare serving plan results gpu main)
